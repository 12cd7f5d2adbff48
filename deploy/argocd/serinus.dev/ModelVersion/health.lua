-- A ModelVersion is a record: accepted or rejected. A rollback affects the health of the Rollout only: the record stays
-- in Git for ever and must neither keep the application Degraded nor block a sync wave.
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
