"""For tests of tasks: an app in memory (`app.TestApp`) and a worker inside the test (`worker`)."""
