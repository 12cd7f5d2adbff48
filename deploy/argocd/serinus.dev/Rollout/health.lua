-- kstatus: Ready, Reconciling and Stalled, which are valid only if observedGeneration equals the generation.
local hs = {status = "Progressing", message = "Waiting for Serinus to observe the spec"}
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return hs
end
hs.message = status.summary or status.phase or "No summary yet"
local holds = {}
for _, condition in ipairs(status.conditions or {}) do
  holds[condition.type] = condition.status
end
if holds["Stalled"] == "True" then
  hs.status = "Degraded"
elseif status.phase == "Paused" then
  hs.status = "Suspended"
elseif holds["Ready"] == "True" then
  hs.status = "Healthy"
end
return hs
