"""What workers and beat do for annotation. Ids in, nothing out; everything may be done twice."""

from celery import shared_task

from annotation import jobs, queue, row_cleanup
from annotation.machine import labelling
from annotation.models import Project
from annotation.notices import conditions, delivering
from annotation.quality import figures


@shared_task
def run_import(job_id: int) -> None:
    """Import the uploaded files of a job."""
    jobs.run_import(job_id)


@shared_task
def build_release(release_id: int) -> None:
    """Freeze a requested release."""
    jobs.build_release(release_id)


@shared_task
def return_expired_leases() -> None:
    """Give comparisons back that nobody has answered in time."""
    queue.return_expired_leases()


@shared_task
def announce_forgotten_jobs() -> None:
    """Wake workers for imports and releases whose first announcement was lost."""
    jobs.announce_forgotten()


@shared_task
def refresh_figures(project_id: int) -> None:
    """Count the judgments of a project anew."""
    project = Project.objects.filter(pk=project_id).first()
    if project is not None:
        figures.refresh(project)


@shared_task
def deliver_notice(delivery_id: int) -> None:
    """Send a mail or ask a webhook."""
    delivering.deliver(delivery_id)


@shared_task
def deliver_waiting_notices() -> None:
    """Send what is due for another try, or whose first announcement was lost."""
    delivering.deliver_waiting()


@shared_task
def watch_projects() -> None:
    """Tell managers and reviewers what has come to hold in their projects."""
    conditions.watch()


@shared_task
def watch_machine_labels() -> None:
    """Certify machine labels whose sample is answered; withdraw those that people contradict."""
    labelling.watch()


@shared_task
def tidy() -> None:
    """Delete rows that are of no use any more."""
    row_cleanup.tidy()
