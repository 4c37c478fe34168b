-- SPDX-License-Identifier: Apache-2.0
--
-- What wrk sends, and what it tells in the end:
--
--     wrk ... -s requests.lua URL -- METHOD TOKENS [TYPE BODY]
--
-- The file TOKENS has a token a line, and each request the next of them. TYPE and BODY are files'
-- names, of a media type and a body. In the end there is one line: name=number ...

local requests, at = {}, 0

local function read(name)
    local file = assert(io.open(name, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

function init(args)
    if args[3] then
        wrk.headers["Content-Type"] = read(args[3])
        wrk.body = read(args[4])
    end
    for token in io.lines(args[2]) do
        wrk.headers["Authorization"] = "Bearer " .. token
        requests[#requests + 1] = wrk.format(args[1])
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("bench requests=%d us=%d status=%d broken=%d p50=%d p90=%d p99=%d max=%d\n",
        summary.requests, summary.duration, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
