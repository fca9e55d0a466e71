-- A flood of log-ins with a wrong password. Each client waits a tenth of a second after each answer, or the flood would
-- be one of the client's own work. Prints one line of JSON: how many answers of each kind.
local threads = {}

function setup(thread)
    table.insert(threads, thread)
end

function init(args)
    refused, unavailable, other = 0, 0, 0
    local headers = { ["Content-Type"] = "application/json" }
    head = wrk.format("POST", "/api-token-auth/", headers, '{"username": "u0", "password": "wrong"}')
end

function request()
    return head
end

function delay()
    return 100
end

function response(status)
    if status == 400 then refused = refused + 1
    elseif status == 503 then unavailable = unavailable + 1
    else other = other + 1 end
end

function done(summary)
    local thread = threads[1]
    print(string.format(
        '\n{"hashed": %d, "refused": %d, "other": %d}',
        thread:get("refused"), thread:get("unavailable"), thread:get("other")
    ))
end
