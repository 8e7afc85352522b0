# What the other scripts share: who belongs to the trio, and what its servers and sentinels answer.
#
# REDIS_MEMBERS   every member as host:port:sentinel-port, in the order of their pods
# REDIS_SELF      which of them this is
# REDIS_MASTER    the name under which sentinels know the master
# REDIS_SETTINGS  folder of settings and secrets, read only
# REDIS_DATA      folder of the volume

# The domain of the namespace, from the resolver's own settings. A name that is whole, with a dot at its end, is asked for once, and of
# the cluster's own name server alone. Of a pod that is gone any other name would be asked for everywhere, in the end of a name server
# outside that may not answer; and a sentinel that waits for that does not watch.
domain=''
for word in $(sed -n 's/^search //p' /etc/resolv.conf); do
    case $word in *.svc.*)
        domain=$word
        break
        ;;
    esac
done

# whole MEMBER: the same with a whole name. Addresses stay.
whole() {
    case $1 in
    [0-9]*) echo "$1" ;;
    *) echo "${1%%:*}${domain:+.$domain.}:${1#*:}" ;;
    esac
}
members=''
for word in $REDIS_MEMBERS; do
    members="$members${members:+ }$(whole "$word")"
done
REDIS_MEMBERS=$members
REDIS_SELF=$(whole "$REDIS_SELF")

# split MEMBER: its parts, in $host, $port and $sentinel_port.
split() {
    host=${1%%:*}
    port=${1#*:}
    sentinel_port=${port#*:}
    port=${port%%:*}
}

# redis HOST PORT [WORD...]: the answer to a command, or to those on standard input; nothing from who is not there.
redis() {
    redis_host=$1 redis_port=$2
    shift 2
    REDISCLI_AUTH=$(cat "$REDIS_SETTINGS/sentinel-password") \
        timeout 2 redis-cli --user sentinel -h "$redis_host" -p "$redis_port" "$@" 2>/dev/null | tr -d '\r'
}

# field NAME: the line after the line NAME of an answer of names and values.
field() {
    while read -r field_name && read -r field_value; do
        if [ "$field_name" = "$1" ]; then
            echo "$field_value"
            return
        fi
    done
}

# Asks every sentinel who is master. Of several answers the one with the greatest configuration epoch is the newest.
#
# $answered  how many of them know a master
# $master    the newest answer, host:port; empty if there is none
# $epoch     its epoch
# $replicas  how many replicas are known of it, at most
# $suspected whether one of those who name it holds it for down, or replaces it right now
newest() {
    answered=0 master='' epoch=-1 replicas=0 suspected=no
    for newest_member in $REDIS_MEMBERS; do
        split "$newest_member"
        # The address first, and by this command: in the last part of a fail-over the details still have the old one.
        newest_answer=$(printf 'sentinel get-master-addr-by-name %s\nsentinel master %s\n' "$REDIS_MASTER" "$REDIS_MASTER" |
            redis "$host" "$sentinel_port")
        newest_details=$(echo "$newest_answer" | sed 1,2d)
        newest_epoch=$(echo "$newest_details" | field config-epoch)
        case $newest_epoch in '' | *[!0-9]*) continue ;; esac
        answered=$((answered + 1))
        newest_master=$(echo "$newest_answer" | sed -n '1{h;d};2{H;x;s/\n/:/p;q}')
        if [ "$newest_epoch" -gt "$epoch" ]; then
            master=$newest_master epoch=$newest_epoch replicas=0 suspected=no
        fi
        if [ "$newest_master" = "$master" ]; then
            newest_replicas=$(echo "$newest_details" | field num-slaves)
            if [ "${newest_replicas:-0}" -gt "$replicas" ]; then replicas=$newest_replicas; fi
            case $(echo "$newest_details" | field flags) in *_down* | *failover_in_progress*) suspected=yes ;; esac
        fi
    done
}

# Who was master when the sentinel of this pod last wrote it down, host:port; nothing if it never did.
remembered() {
    sed -n "s/^sentinel monitor $REDIS_MASTER \([^ ]*\) \([0-9]*\) .*/\1:\2/p" "$REDIS_DATA/sentinel.conf" 2>/dev/null || true
}

# Who is master at the very first start, host:port.
first() {
    split "${REDIS_MEMBERS%% *}"
    echo "$host:$port"
}
