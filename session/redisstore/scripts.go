package redisstore

import "github.com/redis/go-redis/v9"

// The grant of a user is one Redis hash, and every script works on that one key, so that it
// may be on any node of a cluster:
//
// f  fence: rises with every login and every stored refresh
// n  generation: the first fence of this hash. A session has ended when the hash has
// another one or is deleted, so deleting the hash ends all sessions of the user.
// g  the grant, encrypted
// l  the token of the replica that refreshes it, and u until when, by the clock of Redis
//
// The first fence is the time in microseconds: a hash that is deleted and created again
// never has a fence that an old refresh remembers.

// loginScript replaces the grant. The latest login wins: a refresh that is in flight finds
// the fence risen.
var loginScript = redis.NewScript(`
local k = KEYS[1]
if redis.call('TYPE', k).ok ~= 'hash' then redis.call('DEL', k) end
local f, n = redis.call('HGET', k, 'f'), redis.call('HGET', k, 'n')
if f and n and string.match(f, '^%d+$') and string.match(n, '^%d+$') and #f < 17 then
  redis.call('HINCRBY', k, 'f', 1)
else
  local t = redis.call('TIME')
  local now = t[1] .. string.format('%06d', t[2])
  redis.call('DEL', k)
  redis.call('HSET', k, 'f', now, 'n', now)
end
redis.call('HSET', k, 'g', ARGV[1])
redis.call('HDEL', k, 'l', 'u')
if redis.call('PTTL', k) < tonumber(ARGV[2]) then redis.call('PEXPIRE', k, ARGV[2]) end
return redis.call('HMGET', k, 'f', 'n', 'g')
`)

// lockScript gives the caller (ARGV 1) the refresh lock for ARGV 2 milliseconds, unless
// another has it, or the fence is no longer ARGV 3.
var lockScript = redis.NewScript(`
local k = KEYS[1]
local now = redis.call('HMGET', k, 'f', 'n', 'g', 'l', 'u')
if not (now[1] and now[2] and now[3]) then return {'gone'} end
if ARGV[3] ~= '' and ARGV[3] ~= now[1] then return {'newer', now[1], now[2], now[3]} end
local t = redis.call('TIME')
local ms = t[1] * 1000 + math.floor(t[2] / 1000)
local free = tonumber(now[5] or '') or 0
if now[4] and now[4] ~= ARGV[1] and free > ms and free <= ms + tonumber(ARGV[2]) then
  return {'held', now[1], now[2], now[3]}
end
redis.call('HSET', k, 'l', ARGV[1], 'u', string.format('%.0f', ms + ARGV[2]))
return {'mine', now[1], now[2], now[3]}
`)

// storeScript stores the result of a refresh (ARGV 3), unless the fence has risen above the
// one (ARGV 2) at its start. It does not check the lock: if that expired, this grant is
// still the one that the issuer accepts.
var storeScript = redis.NewScript(`
local k = KEYS[1]
if redis.call('HGET', k, 'f') ~= ARGV[2] then return {} end
redis.call('HINCRBY', k, 'f', 1)
redis.call('HSET', k, 'g', ARGV[3])
redis.call('HDEL', k, 'l', 'u')
return redis.call('HMGET', k, 'f', 'n', 'g')
`)

// unlockScript lets other replicas refresh.
var unlockScript = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'l') == ARGV[1] then return redis.call('HDEL', KEYS[1], 'l', 'u') end
return 0
`)

// indexScript adds ARGV 1 to a sorted set until ARGV 2, drops entries older than ARGV 3, and
// lets the set live for at least ARGV 4 milliseconds.
var indexScript = redis.NewScript(`
local k = KEYS[1]
if redis.call('TYPE', k).ok ~= 'zset' then redis.call('DEL', k) end
redis.call('ZREMRANGEBYSCORE', k, '-inf', ARGV[3])
redis.call('ZADD', k, ARGV[2], ARGV[1])
if redis.call('PTTL', k) < tonumber(ARGV[4]) then redis.call('PEXPIRE', k, ARGV[4]) end
return 1
`)

// endScript deletes the grant, unless the fence has risen above ARGV 1.
var endScript = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`)
