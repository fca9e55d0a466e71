-- Forward auth for HAProxy 2.5 and later: asks drf-authtoken whether a request may pass, and puts the identity into it.
-- In a frontend:  http-request lua.forward_auth http://127.0.0.1:8000/forward-auth/

local IDENTITY = { "x-auth-user", "x-auth-user-id" }
-- Of a refusal, what the client gets to see.
local PASSED = { "content-type", "www-authenticate", "retry-after", "cache-control" }

local function refuse(txn, answer)
    local reply = txn:reply()
    reply:set_status(answer.status)
    for _, name in ipairs(PASSED) do
        for _, value in pairs(answer.headers and answer.headers[name] or {}) do
            reply:add_header(name, value)
        end
    end
    reply:set_body(answer.body or "")
    txn:done(reply)
end

core.register_action("forward_auth", { "http-req" }, function(txn, url)
    local asked = {}
    for _, value in pairs(txn.http:req_get_headers()["authorization"] or {}) do
        asked["authorization"] = asked["authorization"] or {}
        table.insert(asked["authorization"], value)
    end
    local answer = core.httpclient():get { url = url, headers = asked, timeout = 5000 }
    -- No answer is no permission. HAProxy's own 503 and 504 come in this form too.
    if not answer or not answer.status or answer.status == 0 then
        answer = { status = 503 }
    end
    if answer.status ~= 200 then
        refuse(txn, answer)
        return
    end
    for _, name in ipairs(IDENTITY) do
        local values = answer.headers[name] or {}
        txn.http:req_set_header(name, values[0] or values[1] or "")
    end
end, 1)
