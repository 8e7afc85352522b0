-- KEYS[1]: whose allowance. ARGV: microseconds in which one request grows back, requests at once.
-- Answers {allowed, remaining, microseconds to wait, microseconds until whole again}; see rate_limit.rs for the rule.
local interval = tonumber(ARGV[1])
local most = interval * tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local before = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) - now
local after = before + interval
if after > most then
  return {0, 0, after - most, before}
end
redis.call('SET', KEYS[1], string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
return {1, math.floor((most - after) / interval), 0, after}
