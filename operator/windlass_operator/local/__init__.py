"""`windlass up`: the operator's own decisions, with worker processes on this machine as its pods.

    files     YAML -> resources, with errors that name file, line, field and fix
    session   broker, loop and workers, started and ended in order
    loop      observe -> reduce -> carry out, as in the cluster
    driver    Deployments and Pods that are processes
    table     what the reader sees

Nothing here imports kopf or kubernetes.
"""
