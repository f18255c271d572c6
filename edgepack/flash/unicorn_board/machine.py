"""The board of a target, put together from its record."""

from __future__ import annotations

from edgepack.errors import UnsupportedError
from edgepack.flash.unicorn_board.core import Core, Stop
from edgepack.flash.unicorn_board.devices import Device
from edgepack.flash.unicorn_board.supported import why_not
from edgepack.flash.unicorn_board.system import SystemSpace
from edgepack.flash.unicorn_board.timers import Fpgaio, Nrf51Clock, Nrf51Timer, Stm32Timer, Zeros
from edgepack.flash.unicorn_board.uarts import CmsdkUart, Nrf51Uart, Stm32Usart, Uart
from edgepack.targets import Target
from edgepack.toolchain.elf import Image

# unicorn has no Cortex-M0+: its Cortex-M0 executes the same instructions.
_MODELS = {
    "cortex-m0": "CORTEX_M0",
    "cortex-m0plus": "CORTEX_M0",
    "cortex-m3": "CORTEX_M3",
    "cortex-m4": "CORTEX_M4",
    "cortex-m7": "CORTEX_M7",
    "cortex-m33": "CORTEX_M33",
}
_UARTS: dict[str, type[Uart]] = {
    "cmsdk-uart": CmsdkUart,
    "stm32-usart": Stm32Usart,
    "nrf51-uart": Nrf51Uart,
}
# Chips' own addresses, as the ports have them (firmware/port/nrf51, firmware/port/stm32).
_NRF51_TIMER0, _NRF51_CLOCK, _NRF51_GPIO = 0x4000_8000, 0x4000_0000, 0x5000_0000
_STM32_TIMERS = (0x4000_0000, 0x4000_0C00)
_STM32_PERIPHERALS = 0x4000_0000, 0x4008_0000

_SOON = 24  # instructions after which the board looks at its surroundings


class Machine:
    """A running board; time is the number of instructions executed."""

    def __init__(self, target: Target, image: Image) -> None:
        reason = why_not(target)
        if reason is not None:
            raise UnsupportedError(f"the unicorn board cannot play {target.id}: {reason}")
        from unicorn import arm_const

        soc = target.soc
        memory = tuple((m.origin, m.size, m.kind == "ram") for m in target.memory)
        model = getattr(arm_const, f"UC_CPU_ARM_{_MODELS[target.cpu]}")
        self.core = Core(model, memory, soc.cpu.fpu != "none")
        assert target.layout is not None and target.uart.base is not None
        self._irq = target.uart.irq or 0
        self._image, self._vectors = image, target.region(target.layout.code).origin
        defines = soc.port.defines
        tick = int(defines.get("EP_TICK_N", "1")), int(defines.get("EP_TICK_D", "1"))
        self._attention = False
        self.uart = _UARTS[target.uart.kind](target.uart.base, self._look)
        self._system = SystemSpace(self.core, tick, self._look)
        self._devices: list[Device] = [self.uart, self._system, *self._timers(target)]
        for device in self._devices:
            device.reset()
        self._map()
        self.reset()

    def _timers(self, target: Target) -> list[Device]:
        clock = self.core.now
        if target.uart.kind == "cmsdk-uart":
            base = int(target.soc.port.defines["EP_FPGAIO_BASE"].rstrip("u"), 16)
            return [Fpgaio(base, clock)]
        if target.uart.kind == "nrf51-uart":
            return [
                Nrf51Timer(_NRF51_TIMER0, clock),
                Nrf51Clock(_NRF51_CLOCK),
                Zeros(_NRF51_GPIO, 0x1000),
            ]
        return [Stm32Timer(base, clock) for base in _STM32_TIMERS]

    def _map(self) -> None:
        """Give every device its addresses; the rest of the STM32's peripherals reads as zero."""
        if isinstance(self.uart, Stm32Usart):
            start, end = _STM32_PERIPHERALS
            inside = [d for d in self._devices if start <= d.base < end]
            outside = [d for d in self._devices if not start <= d.base < end]

            def read(offset: int) -> int:
                for device in inside:
                    at = start + offset - device.base
                    if 0 <= at < device.size:
                        return device.read(at)
                return 0

            def write(offset: int, value: int) -> None:
                for device in inside:
                    at = start + offset - device.base
                    if 0 <= at < device.size:
                        device.write(at, value)

            self.core.map_registers(start, end - start, read, write)
        else:
            outside = self._devices
        for device in outside:
            self.core.map_registers(device.base, device.size, device.read, device.write)

    def _look(self) -> None:
        """The surroundings have changed: stop soon."""
        self._attention = True
        if not self.core.in_handler:  # else it comes with the handler's end
            self.core.counter.set_limit(self.core.counter.total + _SOON)

    def reset(self) -> None:
        """As after power-on; bytes in the receiver are lost, time goes on."""
        for device in self._devices:
            device.reset()
        self.core.reset(self._image, self._vectors)

    def run(self, instructions: int) -> bool:
        """Run until that many instructions are done, or the board sleeps for want of a byte.

        Returns:
            Whether it sleeps.

        Raises:
            Lockup: the core is beyond help.
        """
        end = self.core.counter.total + instructions
        patience = _SOON
        while (left := end - self.core.counter.total) > 0:
            self.uart.receive()
            waiting = self._interrupts()
            if waiting and not self.core.masked:
                self.core.interrupt(self._irq)
                waiting = False
            self._attention = False
            # a masked section is a few instructions; if it is not over by then, block by block
            stop = self.core.run(patience if waiting and not self.core.in_handler else left)
            patience = 1 if waiting else _SOON
            if stop is Stop.RESET:
                self.reset()
            elif stop is Stop.RETURNED:
                self.uart.receive()
                if self._interrupts():
                    self.core.chain(self._irq)
                else:
                    self.core.leave()
            elif stop is Stop.SLEEP and not self._attention:
                self.uart.receive()
                if not self._interrupts():
                    return True
                patience = 1  # the instruction behind WFI lets the interrupt in
        return False

    def _interrupts(self) -> bool:
        return self.uart.interrupts() and self._system.irq_enabled(self._irq)
