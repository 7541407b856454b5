"""Run Python once on symbolic tensors, and call what came of it: `function`."""
