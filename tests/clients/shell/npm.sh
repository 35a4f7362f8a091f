# npm: a package of a registry.
npm install --no-audit --no-fund --no-update-notifier --registry "https://$1/" egret-lab &&
    node -p "require('egret-lab')"
