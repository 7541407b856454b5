"""Write the kernels of fused elementwise ops and reductions."""
