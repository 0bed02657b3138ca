-- GET one of many paths for wrk, each drawn at random.
-- Arguments: the path with its number as string.format has it, how many numbers there are, and the draw's seed.

dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "summary.lua")

local requests = {}

function init(args)
  math.randomseed(tonumber(args[3]))
  for number = 1, tonumber(args[2]) do
    requests[number] = wrk.format("GET", string.format(args[1], number))
  end
end

function request()
  return requests[math.random(#requests)]
end
