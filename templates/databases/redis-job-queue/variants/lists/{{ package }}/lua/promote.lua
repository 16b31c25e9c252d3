-- KEYS  1 later  2 ready  3 journal
-- ARGV  1 prefix of the job keys  2 now
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
for _, id in ipairs(ids) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('LPUSH', KEYS[2], id)
  redis.call('HSET', ARGV[1] .. id, 'state', 'waiting')
  redis.call('RPUSH', KEYS[3], table.concat({ARGV[2], 'due', id}, ' '))
end
return #ids
