# Whether the server of this pod does its part: a master answers, a replica has all that the master has.
set -u
. "${0%/*}/ask.sh"

split "$REDIS_SELF"
# Of a master: master, offset, replicas. Of a replica: slave, host and port of its master, state of the link, offset.
answer=$(redis 127.0.0.1 "$port" role)
case $answer in
master*) exit 0 ;;
slave*)
    link=$(echo "$answer" | sed -n 4p)
    if [ "$link" = connected ]; then exit 0; fi
    echo "replica of $(echo "$answer" | sed -n 2p), and its link is in state: $link"
    ;;
'') echo "the server does not answer" ;;
*) echo "the server answers: $answer" ;;
esac
exit 1
