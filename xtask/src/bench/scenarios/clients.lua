-- Each request is another client's. When all have asked it says how many were answered well, and ends:
-- wrk itself would wait for the end of its time.
function init(args)
  clients = tonumber(args[1])
  asked = 0
  good = 0
end

function request()
  local n = asked % clients
  asked = asked + 1
  local address = string.format("%d.%d.%d.%d", 20 + math.floor(n / 16777216), math.floor(n / 65536) % 256,
                                math.floor(n / 256) % 256, n % 256)
  return wrk.format("GET", nil, { ["Host"] = "localhost", ["X-Forwarded-For"] = address })
end

function response(status)
  if status == 200 then good = good + 1 end
  answered = (answered or 0) + 1
  if answered >= clients then
    io.write(string.format("%d of %d\n", good, answered))
    io.flush()
    os.exit(0)
  end
end
