-- POST /clients for wrk: a new client and a new idempotency key in every request.
-- Arguments: a word that is this run's own.

dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "summary.lua")

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("thread_number", threads)
end

local count = 0
local name, head

local function body(id)
  return '{"client_id":"' .. id .. '","full_name":"Amina Patel","risk_profile":"moderate"}'
end

function init(args)
  name = args[1] .. "-" .. thread_number .. "-"
  -- Ids have one length, so that the head is the same but for the key.
  head = "POST /clients HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\nContent-Type: application/json\r\n"
    .. (wrk.headers["Authorization"] and "Authorization: " .. wrk.headers["Authorization"] .. "\r\n" or "")
    .. "Content-Length: " .. #body(name .. string.rep("0", 10)) .. "\r\nIdempotency-Key: "
end

function request()
  count = count + 1
  local id = name .. string.format("%010d", count)
  return head .. id .. "\r\n\r\n" .. body(id)
end
