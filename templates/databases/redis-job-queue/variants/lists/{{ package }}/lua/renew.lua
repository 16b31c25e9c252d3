-- KEYS  1 leases  2 journal
-- ARGV  1 prefix of the job keys  2 id  3 worker  4 now  5 end of the lease
local job = ARGV[1] .. ARGV[2]
local holder = redis.call('HMGET', job, 'state', 'worker')
if holder[1] ~= 'running' or holder[2] ~= ARGV[3] then
  return 0
end
redis.call('ZADD', KEYS[1], ARGV[5], ARGV[2])
redis.call('HSET', job, 'seen', ARGV[4])
redis.call('RPUSH', KEYS[2], table.concat({ARGV[4], 'renewed', ARGV[2], ARGV[3]}, ' '))
return 1
