# Starts the sentinel of this pod with what it knew before and the settings of now.
#
# Sentinel writes all that it knows, and all of its settings, into its own file. What it knows is kept at each start; the settings
# are taken anew, so that a changed one takes effect.
set -eu
umask 077
trap 'exit 143' TERM
. "${0%/*}/ask.sh"

state="$REDIS_DATA/sentinel.conf"
known() {
    sed -n "/^sentinel \(myid\|current-epoch\) /p; /^sentinel $1 $REDIS_MASTER /p" "$state" 2>/dev/null || true
}

own_master=$(remembered)
own_epoch=$(sed -n "s/^sentinel config-epoch $REDIS_MASTER //p" "$state" 2>/dev/null || true)
newest
if [ "$answered" -gt 0 ] && [ "$epoch" -ge "${own_epoch:-0}" ] && [ "$master" != "$own_master" ]; then
    # The others know better. Whom they know they tell.
    kept="$(known 'known-sentinel')
sentinel config-epoch $REDIS_MASTER $epoch"
else
    master=${own_master:-$(first)}
    kept=$(known '\(config-epoch\|leader-epoch\|known-replica\|known-sentinel\)')
fi

split "$REDIS_SELF"
password=$(cat "$REDIS_SETTINGS/sentinel-password")
{
    echo "include $REDIS_SETTINGS/sentinel.conf"
    echo "port $sentinel_port"
    echo "dir $REDIS_DATA"
    echo "aclfile $REDIS_SETTINGS/sentinel.acl"
    echo "sentinel announce-ip $host"
    echo "sentinel announce-port $sentinel_port"
    echo "sentinel sentinel-user sentinel"
    echo "sentinel sentinel-pass $password"
    echo "sentinel monitor $REDIS_MASTER ${master%:*} ${master#*:} 2"
    echo "sentinel auth-user $REDIS_MASTER sentinel"
    echo "sentinel auth-pass $REDIS_MASTER $password"
    echo "$kept"
} >"$state.new"
mv "$state.new" "$state"

# A sentinel that was held up for two seconds acts on nothing for half a minute (TILT), which is far more than it needs to hear from
# everybody again; and it asks servers only every ten seconds who their replicas are. These are no settings of the file, so it is told
# once it listens.
(
    tries=150
    until [ "$(redis 127.0.0.1 "$sentinel_port" sentinel debug tilt-period 5000 info-period 2000)" = OK ] || [ "$tries" = 0 ]; do
        tries=$((tries - 1))
        sleep 0.2
    done
) &

echo "the sentinel of $host starts with $master as master ($answered sentinels asked)"
exec redis-server "$state" --sentinel
