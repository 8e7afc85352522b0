-- What wrk sends and how it looks at the answers. After `--`: a file with a token a line, and the body that every answer must have.

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  expected, wrong, first_wrong, requests, at = args[2], 0, "", {}, 0
  for token in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. token })
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function response(status, _, body)
  if status ~= 200 or body ~= expected then
    wrong = wrong + 1
    if wrong == 1 then first_wrong = status .. " " .. body:sub(1, 200) end
  end
end

-- One line, its numbers set apart by blanks, and what the first wrong answer said behind them.
function done(summary, latency)
  local wrong, first = 0, ""
  for _, thread in ipairs(threads) do
    wrong = wrong + thread:get("wrong")
    if first == "" then first = thread:get("first_wrong") end
  end
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("\nfound: %d %d %d %d %d %d %s\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), broken, wrong, (first:gsub("%s+", " "))))
end
