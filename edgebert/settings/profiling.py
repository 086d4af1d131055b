"""Settings of the latency measurement and of the targets."""

from __future__ import annotations

from dataclasses import dataclass

from edgebert.settings.fields import setting


@dataclass(frozen=True)
class ProfileSettings:
    """Settings of the latency measurement."""

    threads: tuple[int, ...] = setting((1,), "Thread counts to measure.")
    lengths: tuple[int, ...] = setting(
        (), "Token lengths to measure; empty measures all lengths of the file."
    )
    warmup_runs: int = setting(10, "Warm-up calls, which are not timed.")
    min_runs: int = setting(50, "Minimum number of timed calls.")
    max_seconds: float = setting(10.0, "Maximum time per model and configuration, in seconds.")
    end_to_end: bool = setting(True, "Also measure the latency from text to answer.")
    operations: bool = setting(
        False, "Also measure each operation of the graph, by layer, and the tokenizer."
    )
    sustained_seconds: float = setting(
        0.0,
        "Run without a pause for this many seconds and record latency over time. 0 turns this off.",
    )
    cold_start: bool = setting(
        False,
        "Also measure start-up with and without XNNPACK's weight cache on disk, and the memory of "
        "weights and of tensors.",
    )


@dataclass(frozen=True)
class TargetSettings:
    """Settings of single targets; each help text names its targets."""

    bootstrap: bool = setting(
        False, "ssh: create a virtual environment with ai-edge-litert on a board that has none."
    )
    remote_python: str = setting("", "ssh: path of Python on the board; empty searches for it.")
    ssh_config: str = setting(
        "", "ssh: configuration file instead of ~/.ssh/config, passed to `ssh -F`."
    )
    benchmark_binary: str = setting(
        "",
        "adb: path of TensorFlow's benchmark_model on this machine or, if it starts with /data, on "
        "the phone.",
    )
    fetch_benchmark_binary: bool = setting(
        False, "adb: download LiteRT's prebuilt benchmark_model for the phone's ABI."
    )
    app: bool = setting(False, "adb: measure in the demo app, from text to answer.")
    delegate: str = setting(
        "cpu", "adb, cloud: delegate that runs the graph on the phone.", ("cpu", "gpu", "nnapi")
    )
    cpu_mask: str = setting(
        "", "cpu, ssh, adb: cores to run on, as a hexadecimal mask for taskset, such as f0."
    )
    litertjs: str = setting(
        "", "browser: folder of @litertjs/core; empty downloads it once through npm."
    )
    arm64_root: str = setting(
        "",
        "qemu-arm64: root folder of an arm64 Linux whose Python has numpy and ai-edge-litert; "
        "empty creates one once.",
    )
    lan: bool = setting(False, "browser: listen on the network, not only on this machine.")
    https: bool = setting(
        False,
        "browser: serve over TLS with a self-signed certificate, which threads need on a network.",
    )
    port: int = setting(0, "browser: port to listen on; 0 uses a free port.")
    accelerator: str = setting(
        "wasm",
        "browser: run the graph on the CPU or on the GPU.",
        ("wasm", "webgpu"),
    )
    phones: int = setting(1, "browser: number of devices to wait for.")
    wait_seconds: float = setting(600.0, "browser: time limit without a new result, in seconds.")
