"""Which register model belongs to which STM32 board."""

from __future__ import annotations

from tests.emulator.chip_stm32 import Stm32
from tests.emulator.chip_stm32_f import Stm32F1, Stm32F2
from tests.emulator.chip_stm32_h7 import Stm32H7
from tests.emulator.chip_stm32_l4 import Stm32L4

STM32_MODELS: dict[str, type[Stm32]] = {
    "netduino2": Stm32F2,
    "netduinoplus2": Stm32F2,
    "nucleo-f446re": Stm32F2,
    "nucleo-f746zg": Stm32F2,
    "nucleo-h743zi": Stm32H7,
    "nucleo-l4r5zi": Stm32L4,
    "olimex-stm32-h405": Stm32F2,
    "stm32vldiscovery": Stm32F1,
}
