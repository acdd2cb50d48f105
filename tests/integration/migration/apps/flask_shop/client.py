"""What a browser would do."""

import time

from shop import create_app

browser = create_app().test_client()


def wait_for(id: str) -> object:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        answer = browser.get(f"/tasks/result/{id}").json
        if answer["ready"]:
            return answer["value"]
        time.sleep(0.01)
    raise TimeoutError(id)


print(wait_for(browser.post("/tasks/add", data={"a": 1, "b": 2}).json["result_id"]))
print(wait_for(browser.post("/tasks/process", data={"total": 3}).json["result_id"]))
print(bool(browser.post("/tasks/block").json["result_id"]))
