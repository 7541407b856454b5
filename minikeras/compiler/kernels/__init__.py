"""Write the kernels that are more than loops over elements: products, convolutions, pooling."""
