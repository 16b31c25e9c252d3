-- KEYS  1 next  2 dedup  3 first  4 ready  5 later  6 journal
-- ARGV  1 prefix of the job keys  2 now  3 type  4 payload  5 key  6 mark  7 start of the window
--       8 delay  9 due
local mark = ARGV[6]
if mark ~= '' then
  local since = redis.call('ZSCORE', KEYS[2], mark)
  if since and tonumber(since) > tonumber(ARGV[7]) then
    return {redis.call('HGET', KEYS[3], mark), 0}
  end
end

local id = tostring(redis.call('INCR', KEYS[1]))
local delayed = tonumber(ARGV[8]) > 0
redis.call('HSET', ARGV[1] .. id, 'type', ARGV[3], 'payload', ARGV[4], 'key', ARGV[5],
  'created', ARGV[2], 'delay', ARGV[8], 'attempts', 0, 'state', delayed and 'later' or 'waiting')
if delayed then
  redis.call('ZADD', KEYS[5], ARGV[9], id)
else
  redis.call('LPUSH', KEYS[4], id)
end
if mark ~= '' then
  redis.call('ZADD', KEYS[2], ARGV[2], mark)
  redis.call('HSET', KEYS[3], mark, id)
end
local key = ARGV[5] ~= '' and ARGV[5] or '-'
redis.call('RPUSH', KEYS[6], table.concat({ARGV[2], 'enqueued', id, ARGV[3], key}, ' '))
return {id, 1}
