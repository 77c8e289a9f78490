"""What a model registry (MLflow and its like) knows, as lineage: datasets -> training run -> model."""

from collections.abc import Iterable, Mapping

from knowledge.lineage import Edge, Lineage, Node


def learn_training(
    graph: Lineage, *, model: str, version: str, run: str, datasets: Iterable[str], at: float,
    importance: Mapping[str, float] | None = None,
) -> None:  # fmt: skip
    """Adds one training run to the graph.

    Args:
        model: the registered model's name; found again under that name.
        version: kept as a tag of the model, so that the newest training's version is what one reads.
        run: the run's id, one node a run's name would be without end; the job is named by the model, the run tags it.
        datasets: names or ids of what it was trained on, as other producers of lineage call them.
        at: event time of the training's end, epoch seconds.
        importance: feature -> share of the model's attention, 0 to 1, where it was logged (SHAP values, gains).
    """
    job, target = f"train/{model}", graph.find(model) or f"models/{model}"
    graph.add(Node(id=target, kind="model", name=model, tags=(f"version={version}",)), at)
    done = Node(
        id=job,
        kind="training_job",
        name=job,
        tags=(f"run={run}",),
        last_run=at,
        runs=(at,),
        last_state="complete",
        state_at=at,
    )
    graph.add(done, at)
    graph.connect(Edge(source=job, target=target, kind="writes", seen=at))
    for name in datasets:
        graph.connect(Edge(source=graph.find(name) or name, target=job, kind="reads", seen=at))
    for name, weight in (importance or {}).items():
        feature = graph.find(name) or f"{target}#{name}"
        graph.add(Node(id=feature, kind="feature", name=name), at)
        graph.connect(Edge(source=feature, target=target, kind="feeds", importance=min(max(weight, 0.0), 1.0), seen=at))
