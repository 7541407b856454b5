"""Turn LLVM IR into native code in this process, by llvmlite, which no other file imports.

The IR comes with explicit vectors and blocked loops, so a few passes do: variables become
registers, loops test at their end, addresses fold. They make code as fast as the whole of LLVM's
second level (measured: a blocked product and a chain of 20 operations), in half its time. The
back end keeps to IEEE arithmetic: it fuses a product and a sum only where the IR says `fma`.
"""

import functools
import hashlib
import os
import threading
from collections.abc import Sequence
from typing import Any

from minikeras import config
from minikeras.compiler.native import store

# Not new-gvn: it is experimental, and the code was no faster for it.
_PASSES = ("sroa", "loop_rotate", "instruction_combine", "simplify_cfg")
_LEVEL = 2  # of the code generator: 3 takes as long and makes the same code

_lock = threading.RLock()  # a signal handler may fork while its own thread compiles
_addresses: dict[str, int] = {}
if hasattr(os, "register_at_fork"):
    # A child must not begin with LLVM in the middle of something another thread did.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


def available() -> bool:
    """Return whether native code can be made here, and MINIKERAS_JIT=0 does not forbid it."""
    return config.is_on("MINIKERAS_JIT") and _usable()


def processor() -> tuple[str, str]:
    """Return LLVM's name of this machine's processor, and its features: `+avx2,-sha,…`."""
    binding = _binding()
    return _name(binding), _features(binding)


def addresses(texts: Sequence[str]) -> list[int]:
    """Return where the native code of `@KERNEL` of each module begins.

    A text is compiled once in a process, and found on the disk by later ones.

    Raises:
        RuntimeError: LLVM cannot parse a text; a mistake of ours.
    """
    with _lock:
        missing = [text for text in dict.fromkeys(texts) if text not in _addresses]
        if missing:
            _make(missing)
        return [_addresses[text] for text in texts]


def _make(texts: list[str]) -> None:
    binding, engine, path = _binding(), _engine(), store.folder()
    identity = (*processor(), ".".join(map(str, binding.llvm_version_info)), *_PASSES, str(_LEVEL))
    for text in texts:
        entry = store.key(text, *identity)
        code = store.read(path, entry) if path else None
        if code is None:
            code = _compiled(text)
            if path:
                store.write(path, entry, code)
        engine.add_object_file(binding.ObjectFileRef.from_data(code))
        engine.finalize_object()
        _addresses[text] = engine.get_function_address(_symbol(text))


def _symbol(text: str) -> str:
    return "kernel_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def _compiled(text: str) -> bytes:
    """Return the object code of a module."""
    machine = _machine(_binding())
    return bytes(machine.emit_object(_optimised(text, machine)))


def _optimised(text: str, machine: Any) -> Any:
    binding = _binding()
    named = text.replace("@KERNEL", "@" + _symbol(text))
    module = binding.parse_assembly(named, binding.create_context())
    module.verify()
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    builder = _builder(binding, machine)
    if "alwaysinline" in text:
        inliner = binding.create_new_module_pass_manager()
        inliner.add_always_inliner_pass()
        inliner.run(module, builder)
    passes = _passes(binding)
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
    return module


@functools.cache
def _usable() -> bool:
    try:
        binding = _binding()
        binding.check_jit_execution()
    except (ImportError, OSError, RuntimeError):  # RuntimeError: no back end for this machine
        return False
    if "-fma" in _features(binding).split(","):
        # An x86 of before 2013, or a virtual one: fma would be a function of the C library, slower
        # than NumPy, and called in a way for which the loader of code plans no memory.
        return False
    return bool(binding.llvm_version_info >= (20,))  # the passes above, in their new form


@functools.cache
def _binding() -> Any:
    import llvmlite.binding

    llvmlite.binding.initialize_native_target()
    llvmlite.binding.initialize_native_asmprinter()
    return llvmlite.binding


@functools.cache
def _name(binding: Any) -> str:
    return str(binding.get_host_cpu_name())


@functools.cache
def _features(binding: Any) -> str:
    return str(binding.get_host_cpu_features().flatten())


@functools.cache
def _machine(binding: Any) -> Any:
    return _new_machine(binding)


def _new_machine(binding: Any) -> Any:
    # The small model reaches constants beside the code in one instruction.
    return binding.Target.from_default_triple().create_target_machine(
        cpu=_name(binding),
        features=_features(binding),
        opt=_LEVEL,
        reloc="pic",
        codemodel="small",
    )


@functools.cache
def _builder(binding: Any, machine: Any) -> Any:
    return binding.create_pass_builder(machine, binding.create_pipeline_tuning_options())


@functools.cache
def _passes(binding: Any) -> Any:
    manager = binding.create_new_function_pass_manager()
    for name in _PASSES:
        getattr(manager, f"add_{name}_pass")()
    return manager


@functools.cache
def _engine() -> Any:
    """Return what loads code. Its own memory manager keeps code and constants within reach."""
    binding = _binding()
    machine = _new_machine(binding)  # the engine takes it over
    return binding.create_mcjit_compiler(binding.parse_assembly(""), machine, use_lmm=True)
