# Chromium without a window: a page. It takes the proxy from its command line and its authorities from a database in HOME.
# A page that does not load is no failure to it: its complaint is looked for.
mkdir -p "$HOME/.pki/nssdb"
certutil -d "sql:$HOME/.pki/nssdb" -N --empty-password
certutil -d "sql:$HOME/.pki/nssdb" -A -n lab -t C,, -i "$SSL_CERT_FILE"
chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --proxy-server="$HTTPS_PROXY" \
    --dump-dom "https://$1/" 2>complaints
! grep -o 'Page load failed.*' complaints
