-- KEYS  1 held  2 leases  3 slots  4 ready  5 dead  6 dedup  7 first  8 journal
-- ARGV  1 prefix of the job keys  2 id  3 now  4 most attempts  5 mark
local id, now = ARGV[2], ARGV[3]
local job = ARGV[1] .. id
local lease = redis.call('ZSCORE', KEYS[2], id)
if not lease or tonumber(lease) > tonumber(now) then
  return 0
end

redis.call('ZREM', KEYS[2], id)
redis.call('LREM', KEYS[1], 0, id)
local kind = redis.call('HGET', job, 'type')
if redis.call('HEXISTS', KEYS[3], kind) == 1 then
  redis.call('HINCRBY', KEYS[3], kind, -1)
end
redis.call('HSET', job, 'worker', '')
redis.call('RPUSH', KEYS[8], table.concat({now, 'expired', id}, ' '))
if tonumber(redis.call('HGET', job, 'attempts')) < tonumber(ARGV[4]) then
  redis.call('HSET', job, 'state', 'waiting')
  redis.call('RPUSH', KEYS[4], id)
  return 1
end

redis.call('HSET', job, 'state', 'dead', 'failed', now, 'error', 'lease ended')
redis.call('ZADD', KEYS[5], now, id)
redis.call('RPUSH', KEYS[8], table.concat({now, 'dead', id}, ' '))
if ARGV[5] ~= '' and redis.call('HGET', KEYS[7], ARGV[5]) == id then
  redis.call('ZREM', KEYS[6], ARGV[5])
  redis.call('HDEL', KEYS[7], ARGV[5])
end
return 1
