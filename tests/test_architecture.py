"""Hold the package to its plan: imports point downwards, and costly packages load late.

The rules read the source and import nothing. Each returns its complaints as text; the tests at the
end show on small wrong trees that each rule can fail.
"""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "minikeras"

# A room is a folder or a file at the top of the package. It imports from lower rooms only; rooms of
# one level may import each other as long as that makes no cycle.
LEVELS = [
    ("config", "errors", "tree", "atomic"),
    ("core",),
    ("ops",),
    (
        "registry", "tracking", "random",
        "initializers", "activations", "regularizers", "constraints",
    ),
    ("compiler",),
    ("layers", "losses", "metrics", "optimizers"),
    ("data", "datasets", "callbacks", "saving"),
    ("models",),
    ("__init__",),  # imports nothing by itself, but lends names to the faces
    ("tf", "utils", "backend", "plotting", "explain", "wrappers", "distribution", "__main__"),
]  # fmt: skip
# Files that stand in an order of their own: each imports only from those before it.
ORDERS = {
    "core": (
        "spec", "context", "tensor", "overwriting", "variable", "dispatch", "basic", "backward",
        "tape", "gradients", "forward", "graph", "check",
    ),
}  # fmt: skip
# Packages that only some programs need: one file owns each and imports it inside a function.
LATE = ("h5py", "tqdm", "sklearn", "scipy", "llvmlite", "matplotlib", "mpi4py")
ALWAYS = {"numpy", *sys.stdlib_module_names}
# Only these may import by a computed name: the package's front door and TensorFlow's face are lazy.
LAZY_ROOMS = {"__init__", "tf"}

LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


class Import(NamedTuple):
    """One import statement; `names` is what `from target import` asks for, else empty."""

    source: str
    line: int
    target: str
    names: tuple[str, ...]
    in_function: bool
    typing_only: bool


class Finder(ast.NodeVisitor):
    """Collect the imports of one file, with where they stand."""

    def __init__(self, module, is_package):
        self.module = module
        self.package = module if is_package else module.rpartition(".")[0]
        self.imports, self.dynamic = [], []
        self.in_function = self.typing_only = False

    def within(self, nodes, **flags):
        before = {name: getattr(self, name) for name in flags}
        vars(self).update(flags)
        for node in nodes:
            self.visit(node)
        vars(self).update(before)

    def visit_FunctionDef(self, node):
        self.within([*node.decorator_list, node.args])
        self.within(node.body, in_function=True)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node):
        guarded = ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        self.within(node.body, typing_only=self.typing_only or guarded)
        self.within([node.test, *node.orelse])

    def visit_Import(self, node):
        for alias in node.names:
            self.add(node, alias.name, ())

    def visit_ImportFrom(self, node):
        base = self.package.split(".")
        base = base[: len(base) + 1 - node.level] if node.level else []
        target = ".".join([*base, *([node.module] if node.module else [])])
        self.add(node, target, tuple(alias.name for alias in node.names))

    def visit_Call(self, node):
        if ast.unparse(node.func).rpartition(".")[2] in {"import_module", "__import__"}:
            self.dynamic.append((self.module, node.lineno))
        self.generic_visit(node)

    def add(self, node, target, names):
        place = (self.in_function, self.typing_only)
        self.imports.append(Import(self.module, node.lineno, target, names, *place))


class Tree:
    """The modules of a package and what they import."""

    def __init__(self, root):
        self.name = root.name
        self.modules, self.imports, self.dynamic = set(), [], []
        for path in sorted(root.rglob("*.py")):
            parts = [root.name, *path.relative_to(root).with_suffix("").parts]
            is_package = parts[-1] == "__init__"
            module = ".".join(parts[:-1] if is_package else parts)
            self.modules.add(module)
            finder = Finder(module, is_package)
            finder.visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))
            self.imports += finder.imports
            self.dynamic += finder.dynamic

    def room(self, module):
        return module.split(".")[1] if "." in module else "__init__"

    def is_own(self, found):
        return found.target.split(".")[0] == self.name

    def edges(self):
        """Yield `(import, module)`; a name that is a module stands for it, not for its package."""
        for found in filter(self.is_own, self.imports):
            inner = [f"{found.target}.{name}" for name in found.names]
            named = [module for module in inner if module in self.modules]
            for module in named:
                yield found, module
            if len(named) < len(inner) or not inner:
                yield found, found.target


def at(found):
    return f"{found.source}:{found.line}"


def cycle(pairs, what):
    """Return one cycle among `(importer, imported)` pairs, as a list of no or one complaint."""
    sorter = TopologicalSorter()
    for importer, imported in pairs:
        sorter.add(importer, imported)
    try:
        sorter.prepare()
    except CycleError as error:
        return [f"{what} import in a circle: {' <- '.join(error.args[1])}"]
    return []


def unplanned_rooms(tree):
    found = {tree.room(module) for module in tree.modules} - set(LEVEL)
    return [f"{room}: no such room in LEVELS. Give it a level there." for room in sorted(found)]


def unplanned_files(tree):
    complaints = []
    for room, order in ORDERS.items():
        prefix = f"{tree.name}.{room}."
        files = {
            module.removeprefix(prefix) for module in tree.modules if module.startswith(prefix)
        }
        complaints += [f"{room}/{name}: not in ORDERS" for name in sorted(files - set(order))]
    return complaints


def missing_modules(tree):
    return [f"{at(i)}: no module {to}" for i, to in tree.edges() if to not in tree.modules]


def upward_imports(tree):
    """Imports of a higher room. What only a type checker reads may look no higher either."""
    return [
        f"{at(i)}: {tree.room(i.source)} imports from {tree.room(to)}, which stands higher"
        for i, to in tree.edges()
        if LEVEL.get(tree.room(to), 0) > LEVEL.get(tree.room(i.source), 0)
    ]


def room_cycles(tree):
    rooms = {(tree.room(i.source), tree.room(to)) for i, to in running(tree)}
    return cycle([pair for pair in rooms if pair[0] != pair[1]], "rooms")


def running(tree):
    """Yield the edges that the interpreter follows, not those for type checkers."""
    return ((i, to) for i, to in tree.edges() if not i.typing_only)


def module_cycles(tree):
    return cycle(sorted({(i.source, to) for i, to in running(tree)}), "modules")


def disorder(tree):
    """Imports of a later file, or of the package file itself, within a room that has an order."""
    complaints = []
    for room, order in ORDERS.items():
        rank = {f"{tree.name}.{room}.{name}": place for place, name in enumerate(order)}
        rank[f"{tree.name}.{room}"] = len(order)
        complaints += [
            f"{at(i)}: imports {to}, which comes later in {room}"
            for i, to in running(tree)
            if i.source in rank and rank.get(to, -1) >= rank[i.source]
        ]
    return complaints


def hidden_imports(tree):
    return [f"{at(i)}: own import in a function" for i, _ in tree.edges() if i.in_function]


def computed_imports(tree):
    return [
        f"{module}:{line}: import by a computed name"
        for module, line in tree.dynamic
        if tree.room(module) not in LAZY_ROOMS
    ]


def star_imports(tree):
    return [f"{at(i)}: star import" for i in tree.imports if "*" in i.names]


def foreign_imports(tree):
    """Imports of what is no dependency, of a late package early, or in a second file."""
    complaints, owners = [], {}
    for found in tree.imports:
        package = found.target.split(".")[0]
        if tree.is_own(found) or package in ALWAYS:
            continue
        if package not in LATE:
            complaints.append(f"{at(found)}: {package} is no dependency")
        elif not (found.in_function or found.typing_only):
            complaints.append(f"{at(found)}: {package} imported outside a function")
        if package in LATE and not found.typing_only:
            owners.setdefault(package, set()).add(found.source)
    several = {package: files for package, files in owners.items() if len(files) > 1}
    return complaints + [
        f"{package}: imported in {sorted(files)}, expected one owner"
        for package, files in sorted(several.items())
    ]


RULES = [
    unplanned_rooms,
    unplanned_files,
    missing_modules,
    upward_imports,
    room_cycles,
    module_cycles,
    disorder,
    hidden_imports,
    computed_imports,
    star_imports,
    foreign_imports,
]


@pytest.fixture(scope="module")
def tree():
    return Tree(PACKAGE)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_package(tree, rule):
    assert not rule(tree), "\n".join(rule(tree))


GOOD = {
    "__init__.py": "from minikeras import models\nfrom minikeras.ops import add\n",
    "config.py": "import numpy as np\n",
    "core/__init__.py": "from minikeras.core.tensor import Tensor\n",
    "core/spec.py": "from minikeras import config\n",
    "core/context.py": "from typing import TYPE_CHECKING\n"
    "if TYPE_CHECKING:\n    from minikeras.core.tensor import Tensor\n",
    "core/tensor.py": "from .context import state\nfrom . import spec\n",
    "ops/__init__.py": "from minikeras.ops.math import add\n",
    "ops/math.py": "from ..core import Tensor\n",
    "registry.py": "",
    "initializers.py": "from minikeras.registry import get\n",
    "saving.py": "def save():\n    import h5py\n",
    "models/__init__.py": "from minikeras import ops, saving\n",
    "tf.py": "import importlib\nx = importlib.import_module('minikeras')\n",
}
BAD = {
    "unplanned_rooms": [{"helpers.py": ""}],
    "unplanned_files": [{"core/extra.py": ""}],
    "missing_modules": [{"models/__init__.py": "import minikeras.nowhere\n"}],
    "upward_imports": [
        {"core/spec.py": "from minikeras.ops import add\n"},
        {"core/spec.py": "from ..ops.math import add\n"},
        {"core/spec.py": "from minikeras import ops\n"},
        {"core/spec.py": "import minikeras\n"},
        {"core/spec.py": "if TYPE_CHECKING:\n    from minikeras import ops\n"},
        {"core/spec.py": "def late():\n    from minikeras import ops\n"},
        {"core/spec.py": "try:\n    from minikeras import ops\nfinally:\n    x = 1\n"},
        {"ops/__init__.py": "from minikeras import registry\n"},
    ],
    "room_cycles": [{"registry.py": "import minikeras.initializers\n"}],
    "module_cycles": [
        {"ops/math.py": "from minikeras.ops import add\n"},
        {"ops/math.py": "from . import shape\n", "ops/shape.py": "from .math import add\n"},
        {"ops/math.py": "from . import math\n"},
    ],
    "disorder": [
        {"core/spec.py": "from minikeras.core.tensor import Tensor\n", "core/tensor.py": ""},
        {"core/spec.py": "from . import Tensor\n"},
    ],
    "hidden_imports": [
        {"models/__init__.py": "def late():\n    from minikeras import ops\n"},
        {"models/__init__.py": "class A:\n    async def late(self):\n        from .. import ops\n"},
    ],
    "computed_imports": [
        {"registry.py": "import importlib\nimportlib.import_module(name)\n"},
        {"registry.py": "def late():\n    return __import__('minikeras.ops')\n"},
    ],
    "star_imports": [{"ops/__init__.py": "from minikeras.ops.math import *\n"}],
    "foreign_imports": [
        {"saving.py": "import h5py\n"},
        {"saving.py": "try:\n    from h5py import File\nexcept ImportError:\n    File = None\n"},
        {"models/__init__.py": "def load():\n    from h5py import File\n"},
        {"models/__init__.py": "def load():\n    import pandas\n"},
        {"models/__init__.py": "import tensorflow as tf\n"},
    ],
}


def plant(root, files):
    for name, text in files.items():
        path = root / "minikeras" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Tree(root / "minikeras")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_accepts_a_good_tree(tmp_path, rule):
    assert rule(plant(tmp_path, GOOD)) == []


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        pytest.param(rule, change, id=f"{rule.__name__}-{number}")
        for rule in RULES
        for number, change in enumerate(BAD[rule.__name__])
    ],
)
def test_rule_finds_a_bad_tree(tmp_path, rule, change):
    assert rule(plant(tmp_path, GOOD | change))
