-- Each request is another client's, so many on each thread.
local threads = 0

function setup(thread)
  thread:set("id", threads)
  threads = threads + 1
end

function init(args)
  each = tonumber(args[1])
  asked = 0
end

function request()
  asked = asked + 1
  if asked > each then wrk.thread:stop() end
  local address = string.format("%d.%d.%d.%d", 20 + id, math.floor(asked / 65536) % 256,
                                math.floor(asked / 256) % 256, asked % 256)
  return wrk.format("GET", nil, { ["Host"] = "localhost", ["X-Forwarded-For"] = address })
end
