"""What the pages share, the audit report and the web page: texts that are escaped, and the time axis of a chart."""
