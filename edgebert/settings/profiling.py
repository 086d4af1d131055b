"""Settings of the latency measurement and of its targets."""

from __future__ import annotations

from dataclasses import dataclass

from edgebert.settings.fields import setting


@dataclass(frozen=True)
class ProfileSettings:
    """How latency is measured."""

    threads: tuple[int, ...] = setting((1,), "Thread counts to sweep.")
    lengths: tuple[int, ...] = setting((), "Token lengths to time; all of the file's when empty.")
    warmup_runs: int = setting(10, "Calls before the clock counts.")
    min_runs: int = setting(50, "Fewest timed calls.")
    max_seconds: float = setting(10.0, "Longest time a model and configuration.")
    end_to_end: bool = setting(True, "Also time text in, answer out.")
    operations: bool = setting(
        False, "Also time each operation of the graph, by layer, and the tokenizer's share."
    )
    sustained_seconds: float = setting(
        0.0, "Also run without a pause for so long, to see the curve of the latency; 0 does not."
    )
    cold_start: bool = setting(
        False,
        "Also time starts with and without XNNPACK's weight cache on disk, and tell weights from "
        "tensors in memory.",
    )


@dataclass(frozen=True)
class TargetSettings:
    """What only some targets look at; the flag's help names the target."""

    bootstrap: bool = setting(
        False, "ssh: make a virtual environment with ai-edge-litert on the board where it has none."
    )
    remote_python: str = setting("", "ssh: the board's Python; found when empty.")
    ssh_config: str = setting(
        "", "ssh: configuration file instead of ~/.ssh/config, as of `ssh -F`."
    )
    benchmark_binary: str = setting(
        "", "adb: TensorFlow's benchmark_model, a file here or (with a leading /data) on the phone."
    )
    fetch_benchmark_binary: bool = setting(
        False, "adb: download LiteRT's prebuilt benchmark_model for the phone's ABI."
    )
    app: bool = setting(False, "adb: measure in the demo app, from text to answer.")
    delegate: str = setting(
        "cpu", "adb, cloud: where the graph runs on the phone.", ("cpu", "gpu", "nnapi")
    )
    cpu_mask: str = setting(
        "", "cpu, ssh, adb: the cores to run on, as taskset's mask in hex, such as f0."
    )
    litertjs: str = setting(
        "", "browser: folder of @litertjs/core; fetched once through npm when empty."
    )
    arm64_root: str = setting(
        "",
        "qemu-arm64: folder of an arm64 Linux whose Python has numpy and ai-edge-litert; made once "
        "when empty.",
    )
    lan: bool = setting(
        False, "browser: be reachable from the network, not from this machine only."
    )
    https: bool = setting(
        False, "browser: serve over TLS with a certificate of our own, so that threads work."
    )
    port: int = setting(0, "browser: the port to listen on; 0 takes a free one.")
    webgpu: bool = setting(False, "browser: run on WebGPU instead of wasm.")
    phones: int = setting(1, "browser: wait for the results of so many devices.")
    wait_seconds: float = setting(600.0, "browser: give up after so long without a result.")
