"""What a phone is, and the state in which it measures: read by one command of its shell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgepack.errors import ProtocolError
from edgepack.link.adb_phone import PhoneLink

# Android 7 and newer (mksh and toybox). What a phone hides (SELinux) or lacks prints nothing.
_CPU = "/sys/devices/system/cpu"
_PROBE = f"""
echo ==props; getprop
echo ==features; grep -m1 -i '^features' /proc/cpuinfo
echo ==cpus
for c in {_CPU}/cpu[0-9]*; do
  f=$c/cpufreq
  echo "$c|$(cat $f/cpuinfo_max_freq)|$(cat $f/scaling_max_freq)|$(cat $f/scaling_governor)"
done
"""
_STATE = f"""
echo ==limits
for c in {_CPU}/cpu[0-9]*; do
  f=$c/cpufreq
  echo "$c|$(cat $f/cpuinfo_max_freq)|$(cat $f/scaling_max_freq)|$(cat $f/scaling_governor)"
done
echo ==thermal; dumpsys thermalservice
echo ==zones
for z in /sys/class/thermal/thermal_zone*; do echo "$(cat $z/type)|$(cat $z/temp)"; done
echo ==battery; dumpsys battery
echo ==saver; settings get global low_power
"""
_PROP = re.compile(r"^\[([^\]]+)\]: \[(.*)\]$", re.M)
_CORE = re.compile(r"/cpu(\d+)\|(\d*)\|(\d*)\|(.*)$", re.M)
_STATUS = re.compile(r"^\s*Thermal Status:\s*(\d+)", re.M)
_CPU_ZONE = re.compile(r"cpu|soc|tsens|big|little|mid|prime", re.I)
# PowerManager.THERMAL_STATUS_*
THERMAL_NAMES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


@dataclass(frozen=True)
class Core:
    """A CPU core. Frequencies in kHz; 0 and "" are what the phone does not tell.

    max_khz: what it is built for. allowed_khz: what the system allows at present.
    """

    number: int
    max_khz: int
    allowed_khz: int
    governor: str


@dataclass(frozen=True)
class PhoneFacts:
    """A phone. `emulated`: Android's emulator, or another machine that says it is one."""

    serial: str
    manufacturer: str
    model: str
    soc: str
    android: str
    sdk: int
    abis: tuple[str, ...]
    features: tuple[str, ...]
    cores: tuple[Core, ...]
    emulated: bool

    @property
    def name(self) -> str:
        """Maker and model, without saying the maker twice."""
        same = self.model.lower().startswith(self.manufacturer.lower())
        return self.model if same else f"{self.manufacturer} {self.model}".strip()


@dataclass(frozen=True)
class Conditions:
    """The state at one moment; None is what the phone does not tell.

    thermal_status: 0 to 6, PowerManager.THERMAL_STATUS_NONE to _SHUTDOWN (Android 10 and newer).
    cpu_celsius: the hottest thermal zone of the CPU. battery_celsius, battery_percent: the
    battery's.
    """

    cores: tuple[Core, ...]
    thermal_status: int | None
    cpu_celsius: float | None
    battery_percent: int | None
    battery_celsius: float | None
    charging: bool | None
    saver: bool | None


def read_facts(link: PhoneLink) -> PhoneFacts:
    """Ask a phone who it is.

    Raises:
        ProtocolError: it does not say which ABIs it has.
    """
    parts = _sections(link.shell(f"exec 2>/dev/null{_PROBE}").stdout)
    props = dict(_PROP.findall(parts.get("props", "")))
    abis = props.get("ro.product.cpu.abilist") or props.get("ro.product.cpu.abi", "")
    if not abis:
        raise ProtocolError(
            f"phone {link.serial} does not say what its ABI is (getprop ro.product.cpu.abi)",
            next_step=f"adb -s {link.serial} shell getprop",
        )
    return PhoneFacts(
        serial=link.serial,
        manufacturer=props.get("ro.product.manufacturer", ""),
        model=props.get("ro.product.model", "unknown"),
        soc=_soc(props),
        android=props.get("ro.build.version.release", ""),
        sdk=int(props.get("ro.build.version.sdk", "0") or 0),
        abis=tuple(abis.split(",")),
        features=tuple(parts.get("features", "").partition(":")[2].split()),
        cores=_cores(parts.get("cpus", "")),
        emulated=_is_emulator(props),
    )


def read_conditions(link: PhoneLink) -> Conditions:
    """Ask a phone for its state."""
    parts = _sections(link.shell(f"exec 2>/dev/null{_STATE}").stdout)
    battery = {
        key.strip(): value.strip()
        for line in parts.get("battery", "").splitlines()
        for key, found, value in [line.partition(":")]
        if found
    }
    status = _STATUS.search(parts.get("thermal", ""))
    tenths = _number(battery.get("temperature"))  # BatteryManager: tenths of a degree
    powered = [v == "true" for k, v in battery.items() if k.endswith("powered")]
    saver = parts.get("saver", "").strip()
    return Conditions(
        cores=_cores(parts.get("limits", "")),
        thermal_status=int(status[1]) if status else None,
        cpu_celsius=_hottest(parts.get("zones", "")),
        battery_percent=_number(battery.get("level")),
        battery_celsius=None if tenths is None else tenths / 10,
        charging=any(powered) if powered else None,
        saver={"0": False, "1": True}.get(saver),
    )


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^==(\w+)$\n?", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _cores(text: str) -> tuple[Core, ...]:
    found = (
        Core(int(m[1]), int(m[2] or 0), int(m[3] or 0), m[4].strip()) for m in _CORE.finditer(text)
    )
    return tuple(sorted(found, key=lambda core: core.number))


def _soc(props: Mapping[str, str]) -> str:
    maker, model = props.get("ro.soc.manufacturer", ""), props.get("ro.soc.model", "")
    if model:
        return f"{maker} {model}".strip()
    return props.get("ro.board.platform", "") or props.get("ro.hardware", "unknown")


def _is_emulator(props: Mapping[str, str]) -> bool:
    flags = ("ro.kernel.qemu", "ro.boot.qemu")
    return any(props.get(flag) == "1" for flag in flags) or props.get("ro.hardware", "") in (
        "goldfish",
        "ranchu",
    )


def _hottest(zones: str) -> float | None:
    """The hottest CPU zone; most kernels tell thousandths of a degree, some whole ones."""
    found = []
    for line in zones.splitlines():
        name, _, value = line.partition("|")
        number = _number(value)
        if number is not None and _CPU_ZONE.search(name):
            celsius = number / 1000 if abs(number) >= 1000 else float(number)
            if 0 < celsius < 150:  # sensors that are off report nonsense
                found.append(celsius)
    return max(found, default=None)


def _number(text: str | None) -> int | None:
    stripped = (text or "").strip()
    return int(stripped) if re.fullmatch(r"-?\d+", stripped) else None
