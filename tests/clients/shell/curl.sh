# curl: a page. `--include` shows the proxy's answer as well.
curl --silent --show-error --include --max-time 30 "https://$1/"
