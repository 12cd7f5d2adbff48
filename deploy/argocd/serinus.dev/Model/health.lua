-- A Model is a policy plus the state of the registry. A rollback affects the health of the Rollout, not that of the Model.
local hs = {status = "Healthy", message = "No version is in production, and none is on its way"}
local status = obj.status or {}
local candidate = status.candidate
if status.production ~= nil then
  hs.message = status.production.version .. " is in production"
elseif candidate ~= nil then
  hs.status = "Progressing"
  hs.message = "No version is in production yet"
end
if candidate ~= nil then
  local share = ""
  if candidate.traffic ~= nil and candidate.traffic ~= "" then
    share = " at " .. candidate.traffic .. " of the traffic"
  end
  hs.message = hs.message .. "; " .. candidate.version .. " is on trial" .. share
end
return hs
