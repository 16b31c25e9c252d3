-- KEYS  1 dead  2 ready  3 journal
-- ARGV  1 prefix of the job keys  2 id  3 now
local id = ARGV[2]
if redis.call('ZREM', KEYS[1], id) == 0 then
  return 0
end
redis.call('HSET', ARGV[1] .. id, 'state', 'waiting', 'attempts', 0, 'failed', 0, 'error', '')
redis.call('LPUSH', KEYS[2], id)
redis.call('RPUSH', KEYS[3], table.concat({ARGV[3], 'revived', id}, ' '))
return 1
