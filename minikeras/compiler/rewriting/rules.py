"""Put the tables of rewrites together."""

from minikeras.compiler.rewriting import algebra, movement, sums
from minikeras.compiler.rewriting.pattern import Table, rows_by_op

SIMPLIFY: Table = [
    *algebra.ARITHMETIC,
    *algebra.BOUNDS,
    *algebra.CHOICES,
    *algebra.FUNCTIONS,
    *movement.SHAPES,
    *movement.OPERANDS,
    *movement.JOINS,
    *sums.REDUCTIONS,
    *sums.POOLS,
    *sums.PRODUCTS,
]
# Where something else needs an inner result too, these would have it computed twice.
SIMPLIFY_ALONE: Table = [
    *algebra.FUNCTIONS_ALONE,
    *sums.REDUCTIONS_ALONE,
    *sums.PRODUCTS_ALONE,
]

ROWS = rows_by_op(SIMPLIFY, SIMPLIFY_ALONE)
