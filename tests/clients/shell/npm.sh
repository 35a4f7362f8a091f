# npm: a package of a registry. An authority in npm's own configuration would hide the one of NODE_EXTRA_CA_CERTS.
npm install --no-audit --no-fund --no-update-notifier --cafile "$SSL_CERT_FILE" --registry "https://$1/" egret-lab &&
    node -p "require('egret-lab')"
