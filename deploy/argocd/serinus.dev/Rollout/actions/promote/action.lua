-- A command is an annotation, whose value counts once: the time makes it a new one.
local os = require("os")
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["serinus.dev/promote"] = "Argo CD " .. os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
