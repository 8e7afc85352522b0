# Runs Nginx, and stops it so that no request is lost. SIGTERM would break off what it has in hand; by SIGQUIT it takes no new
# connection, closes idle ones and ends with its last request.
set -eu
leaving=/tmp/leaving
# Of a container before this one in the same pod.
rm -f "$leaving"

nginx -e /dev/stderr -c /etc/nginx-config/nginx.conf -g 'daemon off;' &
nginx=$!

leave() {
    trap '' TERM QUIT INT
    # Not everybody knows yet that this pod is to go. The configuration looks for this file, and tells clients to close their connections.
    : >"$leaving"
    sleep @SETTLE_SECONDS@
    kill -QUIT "$nginx" 2>/dev/null || true
}
trap leave TERM QUIT INT

status=0
wait "$nginx" || status=$?
# A signal ends the waiting, not Nginx.
if [ "$status" -gt 128 ] && [ -e "$leaving" ]; then
    status=0
    wait "$nginx" || status=$?
fi
exit "$status"
