-- A ModelVersion is a record: it is there, or it is refused. That a version was rolled back is the Rollout's health:
-- its record stays in Git for ever and must not make the application Degraded for ever, nor hold up a sync wave.
local hs = {status = "Healthy", message = "Registered"}
local status = obj.status or {}
if status.stage ~= nil and status.stage ~= "" then
  hs.message = status.stage .. ", " .. (status.traffic or "0%") .. " of the traffic"
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Accepted" and condition.status == "False" then
    hs.status = "Degraded"
    hs.message = condition.message
  end
end
return hs
