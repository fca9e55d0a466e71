-- What wrk asks: /secret/ with one token after the other; prints one line of JSON.
-- Arguments: good, unknown or missing; how many tokens; how many different ones are asked for; the two numbers that
-- make a key of its number.
local function head(key)
    local headers = {}
    if key then headers["Authorization"] = "Token " .. key end
    return wrk.format("GET", nil, headers)
end

function init(args)
    local kind, tokens, different = args[1], tonumber(args[2]), tonumber(args[3])
    local multiplier, prime = tonumber(args[4]), tonumber(args[5])
    requests, at = {}, 0
    if kind == "missing" then
        requests[1] = head(nil)
        return
    end
    local step = math.max(1, math.floor(tokens / different))
    for number = 1, tokens, step do
        local key = string.format("%040.0f", number * multiplier % prime)
        if kind == "unknown" then key = "f" .. key:sub(2) end
        requests[#requests + 1] = head(key)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency)
    local errors = summary.errors
    print(string.format(
        '\n{"rate": %.1f, "requests": %d, "p50": %.3f, "p99": %.3f, "refused": %d, "broken": %d}',
        summary.requests / summary.duration * 1e6, summary.requests,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout
    ))
end
