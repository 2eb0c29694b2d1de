-- 10 MB sent with each request, to the site whose origin takes them; the line of report.lua.
wrk.method = "POST"
wrk.headers["Host"] = "upload.test"
wrk.body = string.rep("u", 10 * 1024 * 1024)

done = function(summary, latency, requests)
    local e = summary.errors
    print(string.format("@@ %d %d %d", summary.requests, summary.duration,
                        e.connect + e.read + e.write + e.status + e.timeout))
end
