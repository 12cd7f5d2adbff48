-- What the operator would not ignore in this state. A pause and an abort are never waited for, so they need no fresh status.
local status = obj.status or {}
local stage = status.stage or {}
local fresh = status.observedGeneration == obj.metadata.generation
local paused = status.paused ~= nil
local running = stage.name ~= nil and status.phase ~= "RolledBack" and status.phase ~= "RollingBack"
local judged = stage.state == "Analyzing" or stage.state == "AwaitingApproval"
return {
  promote = {disabled = not (fresh and running and judged and not paused)},
  pause = {disabled = paused},
  resume = {disabled = not paused},
  abort = {disabled = not running},
  retry = {disabled = not (fresh and status.phase == "RolledBack")},
  rollback = {disabled = not (fresh and status.phase == "Healthy")},
}
