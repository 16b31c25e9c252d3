-- KEYS  1 ready  2 held  3 leases  4 slots  5 journal
-- ARGV  1 prefix of the job keys  2 worker  3 now  4 end of the lease  5 limits, as JSON
local limits = cjson.decode(ARGV[5])
local ids = redis.call('LRANGE', KEYS[1], 0, -1)
for i = #ids, 1, -1 do
  local id = ids[i]
  local job = ARGV[1] .. id
  local kind = redis.call('HGET', job, 'type')
  local limit = limits[kind]
  if not limit or tonumber(redis.call('HGET', KEYS[4], kind) or 0) < limit then
    redis.call('LREM', KEYS[1], -1, id)
    redis.call('LPUSH', KEYS[2], id)
    redis.call('ZADD', KEYS[3], ARGV[4], id)
    if limit then
      redis.call('HINCRBY', KEYS[4], kind, 1)
    end
    redis.call('HSET', job, 'state', 'running', 'worker', ARGV[2], 'seen', ARGV[3])
    redis.call('HINCRBY', job, 'attempts', 1)
    redis.call('RPUSH', KEYS[5], table.concat({ARGV[3], 'taken', id, ARGV[2]}, ' '))
    return id
  end
end
return false
