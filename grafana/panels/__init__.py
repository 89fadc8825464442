"""One page a file. What an expression may say stands in `grafana.promql`."""
