-- One line that a program can read, after the summary that wrk writes for people.
done = function(summary, latency, requests)
    local e = summary.errors
    print(string.format("@@ %d %d %d", summary.requests, summary.duration,
                        e.connect + e.read + e.write + e.status + e.timeout))
end
